package redisurl

// A kind is what a URL leads to.
type kind int

const (
	node kind = iota
	socket
	sentinel
	cluster
)

// A scheme is how a URL begins.
type scheme struct {
	kind kind
	base string // what go-redis calls a single node of this kind
	port string // if the URL has none
}

func schemes() map[string]scheme {
	return map[string]scheme{
		"redis":           {node, "redis", "6379"},
		"rediss":          {node, "rediss", "6379"},
		"unix":            {socket, "unix", ""},
		"redis+sentinel":  {sentinel, "redis", "26379"},
		"rediss+sentinel": {sentinel, "rediss", "26379"},
		"redis+cluster":   {cluster, "redis", "6379"},
		"rediss+cluster":  {cluster, "rediss", "6379"},
	}
}
