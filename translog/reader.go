package translog

import "filippo.io/torchwood"

// Reader reads the objects of one log.
type Reader = torchwood.TileReader
