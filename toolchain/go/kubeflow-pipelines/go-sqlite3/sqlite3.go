// Package sqlite3 has the two names by which Kubeflow's API server tells a violated key of SQLite,
// the database of its unit tests. The driver itself is C, and these programs are built without C.
package sqlite3

// ErrNo is an error number of SQLite.
type ErrNo int

// ErrConstraint says that a constraint was violated.
const ErrConstraint ErrNo = 19

// Error is what the driver would return; nothing returns it here.
type Error struct{ Code ErrNo }

func (Error) Error() string { return "sqlite3" }
