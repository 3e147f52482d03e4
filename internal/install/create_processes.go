package install

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/waypost/waypost"
	"github.com/waypost/waypost/internal/durable"
	"github.com/waypost/waypost/internal/loopback"
	"github.com/waypost/waypost/internal/roster"
)

// ProcessName is how a process of a role is called under an exchange's folder: as the
// role itself where it is the first.
func ProcessName(role string, instance int) string {
	if instance == 1 {
		return role
	}
	return role + "-" + strconv.Itoa(instance)
}

// IsGateway reports whether a process of that name is a gateway's: "CA" or "CA-2".
func IsGateway(name string) bool { return len(name) == 2 || len(name) > 3 && name[2] == '-' }

// checkProcesses refuses more than one process of a role that has a database of its
// own, or is no hub and no gateway.
func (p Plan) checkProcesses() error {
	for name, n := range p.Processes {
		if n < 1 || n > 16 || name != "hub" && !IsGateway(name) || n > 1 && p.Databases == nil {
			return waypost.Errorf(waypost.InvalidArgument, "the hub and gateways can be 1 to 16 processes each, on databases of a server")
		}
	}
	return nil
}

// doors takes addresses for the further processes of a hub.
func (b *builder) doors(m *roster.Member) error {
	for range b.plan.Processes[m.Name] - 1 {
		if m.URL == "" {
			return nil
		}
		address, err := loopback.Address()
		if err != nil {
			return err
		}
		public, err := loopback.Address()
		if err != nil {
			return err
		}
		m.Also = append(m.Also, roster.Doors{URL: "https://" + address, Public: "https://" + public})
	}
	return nil
}

// copyFolder copies files for this user only.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path) //nolint:gosec // a folder that this program has just made
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return durable.WriteFile(filepath.Join(to, name), content)
	})
}

// further makes the folders of the further processes of a role: the first one's keys,
// addresses and a number of their own, and the same published logs.
func (b *builder) further(m roster.Member, c Config) (err error) {
	first := FolderOf(b.dir, m.Name)
	for n := 2; n <= b.plan.Processes[m.Name]; n++ {
		folder := FolderOf(b.dir, ProcessName(m.Name, n))
		if err := copyFolder(first, folder); err != nil {
			return err
		}
		one := c
		one.Instance, one.Logs = &n, filepath.Join("..", filepath.Base(first), logFolder)
		if m.Role == roster.Hub {
			one.Listen, one.Public = strings.TrimPrefix(m.Also[n-2].URL, "https://"), strings.TrimPrefix(m.Also[n-2].Public, "https://")
		} else if one.Listen, err = loopback.Address(); err != nil {
			return err
		}
		b.folders = append(b.folders, folder)
		if err := writeJSON(filepath.Join(folder, "config.json"), one); err != nil {
			return err
		}
	}
	return nil
}
