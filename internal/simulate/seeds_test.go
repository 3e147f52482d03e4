//go:build !race

package simulate_test

// defaultSeeds is how many worlds are played where nothing else is said.
const defaultSeeds = 300

const raced = false
