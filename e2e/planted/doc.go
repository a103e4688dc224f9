// Package planted shows that the tests bite. It breaks the core in one place at a
// time, in a copy of the tree, and runs the test that is about it, which must
// notice; if it does not, all tests of lock, quota and tokencache say whether any
// does. Each of the bugs is one that somebody's build has had.
//
//	go test ./e2e/planted -v -timeout 2h -args -plant
//
// It takes about half an hour, and is for whoever changes the core or its tests.
// Without the flag it only checks that the bugs can still be planted where they
// belong.
package planted
