// Package store is the fleet's state in Redis: what it is called, how it is encrypted,
// and how it is read, merged and published.
//
//	…{client}:token:<id>   a hash: issued, expires, and the encrypted record   until the token expires
//	…{client}:floor:<id>   the earliest issue that may be adopted              two months
//	…{client}:lock         the lease                                           see package lock
//	…{client}:quota        the ledger                                          see package quota
//	…{client}:journal      who requested tokens                                see package quota
//	…{client}:news         the channel of the notifications
//
// read.lua reads all that a refresh needs in one round trip. commit.lua merges: of two
// records the later issue wins, whoever comes last and however often, so nothing depends
// on the lease being intact. Both may be repeated, as Redis clients do when a reply is
// lost.
//
// A record is encrypted with AES-256-GCM, and bound to its key and its times. Whoever can
// read Redis can read no token, and whoever can write it can forge none, and cannot move
// one from where it was put. They can delete it, hold it back, or put back an older one
// that is still valid; no encryption helps against that.
package store
