package hostile

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/waypost/waypost"
	waypostv1 "github.com/waypost/waypost/api/waypost/v1"
	"github.com/waypost/waypost/internal/install"
	"github.com/waypost/waypost/internal/loopback"
)

// door is an address with what an attacker has to enter there.
type door struct {
	addr    string
	clients []*http.Client   // with each certificate that is admitted
	cert    *tls.Certificate // the first of them; nil where none is asked for
	closed  bool             // it asks for a certificate before anything else
	// operators: a gateway's, which asks for one with each call.
	operators bool
}

// call is one method of a service, and where it is served.
type call struct {
	path  string
	input protoreflect.MessageDescriptor
	door  *door
}

func (c call) url() string { return "https://" + c.door.addr + c.path }

// doorOf says at whose door a service is served. One that is not known here is taken
// for one of a gateway: most are.
func doorOf(service protoreflect.Name) string {
	switch service {
	case "KeyHolder":
		return "holder"
	case "Ceremony":
		return "ceremony"
	case "Hub":
		return "hub"
	}
	return "gateway"
}

// eachCall finds all methods of all services of the exchange in their descriptors.
func eachCall(f func(service, method protoreflect.Name, input protoreflect.MessageDescriptor)) {
	protoregistry.GlobalFiles.RangeFilesByPackage(waypostv1.File_waypost_v1_exchange_proto.Package(), func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				f(service.Name(), method.Name(), method.Input())
			}
		}
		return true
	})
}

// calls are how many methods there are.
func (p *play) calls() (n int) {
	eachCall(func(_, _ protoreflect.Name, _ protoreflect.MessageDescriptor) { n++ })
	return n
}

// findCalls are the methods with their doors.
func (p *play) findCalls() (all []call) {
	eachCall(func(service, method protoreflect.Name, input protoreflect.MessageDescriptor) {
		path := fmt.Sprintf("/%s.%s/%s", input.ParentFile().Package(), service, method)
		all = append(all, call{path, input, p.doors[doorOf(service)]})
		if doorOf(service) == "gateway" {
			all = append(all, call{path, input, p.doors["gateway 2"]})
		}
	})
	return all
}

// findDoors are the doors under attack: of the hub, a key holder and two gateways, with
// the certificates of a member state, another key holder and the gateways' own
// operators; and those that are open to anybody.
func (p *play) findDoors(metrics string) (map[string]*door, error) {
	state := p.rogue.Folder.Cert
	other := p.Role("keyholder-5").Folder.Cert
	gateways := make(map[waypost.Jurisdiction]*door)
	for _, of := range []waypost.Jurisdiction{besieged, asking} {
		var err error
		if gateways[of], err = p.gatewayDoor(of); err != nil {
			return nil, err
		}
	}
	holder := p.Role("keyholder-1").Folder.Config
	doors := map[string]*door{
		"hub":              {addr: p.Role("hub").Folder.Config.Listen, clients: []*http.Client{client(&state)}, cert: &state, closed: true},
		"holder":           {addr: holder.Listen, clients: []*http.Client{client(&state)}, cert: &state, closed: true},
		"ceremony":         {addr: holder.Listen, clients: []*http.Client{client(&other)}, cert: &other, closed: true},
		"gateway":          gateways[besieged],
		"gateway 2":        gateways[asking],
		"public of hub":    {addr: p.Role("hub").Folder.Config.Public, clients: []*http.Client{client(nil)}},
		"public of holder": {addr: holder.Public, clients: []*http.Client{client(nil)}},
		"witness":          {addr: p.Role("witness-1").Folder.Config.Listen, clients: []*http.Client{client(nil)}},
	}
	if metrics != "" {
		doors["metrics"] = &door{addr: metrics, clients: []*http.Client{{Timeout: patience}}}
	}
	return doors, nil
}

// gatewayDoor is a state's, with the certificates of its operators.
func (p *play) gatewayDoor(of waypost.Jurisdiction) (*door, error) {
	d := &door{addr: p.Role(string(of)).Folder.Config.Listen, operators: true}
	for _, name := range []string{"operators/clerk-1", "auditors/auditor-1", "unit/unit-1"} {
		file := filepath.Join(install.FolderOf(p.Dir, string(of)), name)
		cert, err := tls.LoadX509KeyPair(file+".crt", file+".key")
		if err != nil {
			return nil, err
		}
		if d.clients = append(d.clients, client(&cert)); d.cert == nil {
			d.cert = &cert
		}
	}
	return d, nil
}

const (
	// patience is how long an attacker waits for an answer.
	patience = 10 * time.Second
	// lastPatience is how long one waits when the siege is over: longer than a mailbox keeps
	// a reader waiting for letters.
	lastPatience = time.Minute
)

// clientTLS has an attacker believe whoever answers.
func clientTLS(cert *tls.Certificate, protocols ...string) *tls.Config {
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, NextProtos: protocols} //nolint:gosec // an attacker does not care
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return config
}

func client(cert *tls.Certificate) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: clientTLS(cert), ForceAttemptHTTP2: true, MaxConnsPerHost: 8, TLSHandshakeTimeout: lastPatience, DialContext: strangers[2]().DialContext,
	}}
}

// unhurried is a client that waits for as long as one does when the siege is over.
func unhurried(c *http.Client) *http.Client {
	one := *c
	one.Timeout = lastPatience
	return &one
}

// honestStranger is the number of the address from which doors are probed.
const honestStranger = 7

// strangers dial from other addresses of this machine, by their last number, where it
// has several: limits on the connections from one address must not be shared with honest
// members.
var strangers = func() (all [13]func() *net.Dialer) {
	for n := range all {
		all[n] = sync.OnceValue(func() *net.Dialer {
			from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(n))}
			probe, err := net.ListenTCP("tcp", from)
			if err != nil {
				return &net.Dialer{Timeout: patience}
			}
			_ = probe.Close()
			return &net.Dialer{LocalAddr: from, Timeout: patience}
		})
	}
	return all
}()

// openMetrics has the hub serve its metrics, as an operator may, and returns the
// address.
func (p *play) openMetrics(ctx context.Context) (string, error) {
	file := filepath.Join(install.FolderOf(p.Dir, "hub"), "config.json")
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var config map[string]any
	if err := json.Unmarshal(raw, &config); err != nil {
		return "", err
	}
	addr, err := loopback.Address()
	if err != nil {
		return "", err
	}
	config["metrics"] = addr
	raw, err = json.Marshal(config)
	if err := errors.Join(err, p.Stop("hub"), os.WriteFile(file, raw, 0o600)); err != nil {
		return "", err
	}
	return addr, p.Start(ctx, "hub")
}
