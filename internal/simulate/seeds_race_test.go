//go:build race

package simulate_test

// defaultSeeds: the race detector makes a world ten times as slow, and has little
// to find where one thing runs at a time.
const defaultSeeds = 2

const raced = true
