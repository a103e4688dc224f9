package auth0test

import "time"

// An APICall is one request that the API received.
type APICall struct {
	Time   time.Time  // when it was judged, UTC
	Method string     // such as "POST"
	Path   string     // such as "/api/cards"
	Token  TokenState // of the bearer token, whatever the answer was
	Status int        // 200 or 401
	Body   []byte     // the body, up to its first 4096 bytes
	Length int64      // how many bytes the whole body had
}

// apiCalls is what the server remembers of its API.
type apiCalls struct {
	rejectAll bool
	counts    map[TokenState]int
	recent    []APICall
}
