// Package demo plays what happens to a fleet in days, in a quarter of a minute:
// some replicas share one token, and their world is hard on them.
//
// # The story
//
//	1  all replicas start at once             one token request
//	2  they call an API                       no Redis command a call
//	3  the token is renewed                   in the background
//	4  the renewer dies in its request        another one takes over when its lease
//	                                          ends; it is restarted, at no cost
//	5  the endpoint answers 429               all back off for as long as it asks
//	6  an operator rotates the token          everybody has the new one at once
//	7  Redis goes away while the token is     the calls go on; renewed when it is back
//	   due, and comes back empty
//
// All the while every replica calls the API at a steady pace. A promise is broken
// if one of these calls fails, if one carries a token that has expired by the
// API's own clock, if two token requests are in flight at once, if the endpoint
// issues more than the six tokens that it takes (and a seventh, if one was asked
// for just when Redis went away), or if a chapter does not go as the table says.
// [Report] has the figures, and the promises by name.
//
// The rotation comes before Redis goes away, since it relies on being heard: a
// replica that has lost its subscription takes a few seconds to open it again.
//
// # What is real
//
// Replicas are what services are: each has a Redis client, a tokencache.Cache and
// an HTTP client of its own, and nothing else of this package. Token endpoint and
// API speak HTTPS, Redis its protocol over TCP. Time is not faked, but compressed
// by configuration: tokens live for seconds, a token request may take half a
// second, and the renewal window is as long as the library asks for, three times
// a lease and a request. See [Options] and the plan in plan.go.
//
// No chapter waits for a time that has to be enough. Each waits for what is to
// happen, measures how long it took, and prepares what befalls the next token
// while that is still fresh. On a slow machine the demo takes longer.
//
// A replica that is killed in the same process loses its connections and its
// voice, and nothing else happens for it: no lease is given back, no request is
// accounted for. With [Options.Spawn] it is a process, and it gets SIGKILL.
//
// # The protocol of a replica
//
// A replica is told what to do by a [Command], and tells what happens by an
// [Event]. In a process of its own, which [Serve] is, they go over standard input
// and output, one JSON object a line:
//
//	< {"event":"ready","replica":"r07/1b4e28ba-…"}
//	> {"do":"load","id":1,"rate":25}
//	< {"event":"asking"}
//	< {"event":"requested","why":"cold","status":200,"quota":"b=per_hour;q=42;r=41;t=1820,…","took_ms":64.2,"life_ms":9000}
//	< {"event":"adopted","token":"9f86d081","by":"r07/1b4e28ba-…","left_ms":9000}
//	< {"event":"token","id":1,"token":"9f86d081","took_ms":67.9}
//	< {"event":"counters","counters":{"calls":5,"failed":0,"commands":7}}
//	> {"do":"quit","id":2}
//	< {"event":"counters","counters":{"calls":31,"failed":0,"commands":7}}
//	< {"event":"bye","id":2}
//
// "<" is what the replica writes, and ">" what it reads. An event that answers a
// command has its id; the others have none. The commands are
//
//	token    get a token                              answered by token
//	load     get a token, and call the API from now on            token
//	stop     call the API no more                                 counters
//	count    tell what was done so far                            counters
//	rotate   replace the fleet's token                            rotated
//	status   ask Redis how the fleet does                         status
//	cut      cut the connections to Redis, refuse new ones        cut
//	mend     let Redis be reached again                           mended
//	quit     end politely                                         bye
//
// and an answer that failed has an error. Without being asked a replica tells of
// ready, asking, requested, adopted, denied, redis, and of its counters five
// times a second under load. A token is named by a digest of it; neither a token
// nor a secret is in any event. A replica ends politely when its input does.
package demo
