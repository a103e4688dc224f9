package auth0test

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A HeaderForm is a way of writing the quota headers. Auth0 documents one;
// the others have been met in the field or are what a proxy may make of it.
// They all carry the same facts, except for the last three.
type HeaderForm int

const (
	// HeaderStandard is the documented form:
	//
	//	Auth0-Client-Quota-Limit: b=per_hour;q=42;r=41;t=3600,b=per_day;q=100;r=99;t=86400
	HeaderStandard HeaderForm = iota
	// HeaderBareNames has the name without its key: per_hour;q=42;r=41;t=3600
	HeaderBareNames
	// HeaderSpaced has a space after each comma and semicolon.
	HeaderSpaced
	// HeaderTwoLines has one field line for each bucket.
	HeaderTwoLines
	// HeaderOldNames has the field names X-Quota-Client-Limit and
	// X-Quota-Organisation-Limit.
	HeaderOldNames
	// HeaderUpperKeys has upper-case keys: B=per_hour;Q=42;R=41;T=3600
	HeaderUpperKeys
	// HeaderQuotedNames has quoted names: b="per_hour";q=42;r=41;t=3600
	HeaderQuotedNames
	// HeaderNameLast has the name at the end: q=42;r=41;t=3600;b=per_hour
	HeaderNameLast
	// HeaderExtra has an unknown parameter and a trailing comma:
	// b=per_hour;q=42;r=41;t=3600;x=extra,
	HeaderExtra
	// HeaderNoReset lacks t.
	HeaderNoReset
	// HeaderNoRemaining lacks r.
	HeaderNoRemaining
	// HeaderAbsent writes no quota header at all. It is the last form, so that
	// a test can run through all of them.
	HeaderAbsent
)

// String returns a short name of the form, such as "bare names".
func (f HeaderForm) String() string { return f.layout().name }

// A layout says how a form differs from the others. The format's arguments are
// the name, q, r and t.
type layout struct {
	name, format, separator        string
	clientField, organizationField string
}

func (f HeaderForm) layout() layout {
	l := layout{
		name:              "standard",
		format:            "b=%[1]s;q=%[2]d;r=%[3]d;t=%[4]d",
		separator:         ",",
		clientField:       "Auth0-Client-Quota-Limit",
		organizationField: "Auth0-Organization-Quota-Limit",
	}
	switch f {
	case HeaderStandard:
	case HeaderBareNames:
		l.name, l.format = "bare names", "%[1]s;q=%[2]d;r=%[3]d;t=%[4]d"
	case HeaderSpaced:
		l.name, l.format, l.separator = "spaced", "b=%[1]s; q=%[2]d; r=%[3]d; t=%[4]d", ", "
	case HeaderTwoLines:
		l.name = "two lines"
	case HeaderOldNames:
		l.name, l.clientField, l.organizationField = "old names", "X-Quota-Client-Limit", "X-Quota-Organisation-Limit"
	case HeaderUpperKeys:
		l.name, l.format = "upper-case keys", "B=%[1]s;Q=%[2]d;R=%[3]d;T=%[4]d"
	case HeaderQuotedNames:
		l.name, l.format = "quoted names", "b=%[1]q;q=%[2]d;r=%[3]d;t=%[4]d"
	case HeaderNameLast:
		l.name, l.format = "name last", "q=%[2]d;r=%[3]d;t=%[4]d;b=%[1]s"
	case HeaderExtra:
		l.name, l.format = "extra", "b=%[1]s;q=%[2]d;r=%[3]d;t=%[4]d;x=extra"
	case HeaderNoReset:
		l.name, l.format = "no reset", "b=%[1]s;q=%[2]d;r=%[3]d"
	case HeaderNoRemaining:
		l.name, l.format = "no remaining", "b=%[1]s;q=%[2]d;t=%[4]d"
	case HeaderAbsent:
		l.name = "absent"
	default:
		l.name = fmt.Sprintf("HeaderForm(%d)", int(f))
	}
	return l
}

// write adds the quota headers of a tally to h.
func (f HeaderForm) write(h http.Header, t tally, at time.Time) {
	if f == HeaderAbsent {
		return
	}
	l := f.layout()
	f.writeField(h, l, l.clientField, t.client, at)
	f.writeField(h, l, l.organizationField, t.organization, at)
}

func (f HeaderForm) writeField(h http.Header, l layout, field string, list []bucket, at time.Time) {
	var written []string
	for _, b := range list {
		written = append(written, fmt.Sprintf(l.format, b.name, b.quota, b.remaining(), b.resetsIn(at)))
	}
	if f == HeaderTwoLines {
		for _, one := range written {
			h.Add(field, one)
		}
		return
	}
	if f == HeaderExtra && len(written) > 0 {
		written = append(written, "") // the trailing comma
	}
	if len(written) > 0 {
		h.Set(field, strings.Join(written, l.separator))
	}
}

// read returns the quota headers in h, as they were written in this form.
func (f HeaderForm) read(h http.Header) (client, organization string) {
	l := f.layout()
	return strings.Join(h.Values(l.clientField), ","), strings.Join(h.Values(l.organizationField), ",")
}

// remove takes the quota headers out of h.
func (f HeaderForm) remove(h http.Header) {
	l := f.layout()
	h.Del(l.clientField)
	h.Del(l.organizationField)
}
