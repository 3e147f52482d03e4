package roster

// WitnessName is the name of the key with which the witness inside a key
// holder cosigns checkpoints; the key itself is [Member.WitnessKey].
func WitnessName(member string) string { return "waypost/" + member + "/witness" }
