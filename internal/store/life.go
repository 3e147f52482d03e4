package store

// A Life is what a database says of one process of its role: see [AsProcess].
type Life struct {
	Number int64
	Beat   int64    // rises about once a second while the process works
	Alive  bool     // it was, when somebody who lives looked last
	Leases []string // the names of what it does for all
}

// Lives reads what the database says of the processes that have used it, by number, but
// for numbers that are out of use ([Retire]). A beat that has not moved some seconds
// later is of one that is gone or stands still.
func Lives(tx *Tx) ([]Life, error) {
	var all []Life
	at := make(map[int64]int)
	if err := tx.Query("SELECT number, beat, alive FROM store_process WHERE alive <> $1 ORDER BY number", []any{retired}, func(scan func(...any) error) error {
		var l Life
		err := scan(&l.Number, &l.Beat, &l.Alive)
		at[l.Number] = len(all)
		all = append(all, l)
		return err
	}); err != nil {
		return nil, err
	}
	return all, tx.Query(`SELECT l.name, l.process FROM store_lease l JOIN store_process p ON p.number = l.process AND p.token = l.token
		WHERE p.alive = 1 ORDER BY l.name`, nil, func(scan func(...any) error) error {
		var name string
		var number int64
		err := scan(&name, &number)
		if i, ok := at[number]; ok {
			all[i].Leases = append(all[i].Leases, name)
		}
		return err
	})
}
