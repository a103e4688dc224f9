package endpoint

import (
	"encoding/json"
	"strings"
)

// An errorReply is what an error response says. Its text never leaves this package: a
// server may echo the request.
type errorReply struct {
	code string // "error", if it reads like a code of RFC 6749
	text string // every text in it, in lower case
}

// parseError reads an error response. "error" is a string by RFC 6749. Servers send
// numbers, objects and null as well.
func parseError(data []byte) errorReply {
	var fields map[string]any
	if json.Unmarshal(data, &fields) != nil {
		return errorReply{text: strings.ToLower(string(data[:min(len(data), 4096)]))}
	}
	var texts []string
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case string:
			texts = append(texts, v)
		case map[string]any:
			for _, name := range []string{"error", "error_description", "errorCode", "message", "code", "error_message"} {
				collect(v[name])
			}
		}
	}
	collect(fields)
	reply := errorReply{text: strings.ToLower(strings.Join(texts, "\n"))}
	if code, ok := fields["error"].(string); ok && isErrorCode(code) {
		reply.code = code
	}
	return reply
}

// isErrorCode reports whether s reads like a code, so that it can be shown: it is not
// an echo of something else.
func isErrorCode(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}
