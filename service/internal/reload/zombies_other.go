//go:build unix && !linux

package reload

// onlyZombies is for Linux, where the process with the id 1 of a container may never wait for its children.
func onlyZombies(int) bool { return false }
