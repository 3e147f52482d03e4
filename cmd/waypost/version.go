package main

import "runtime/debug"

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version + " (" + info.GoVersion + ")"
	}
	return "(devel)"
}
