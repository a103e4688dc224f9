package tokencache

import (
	"time"

	"github.com/fleettoken/fleettoken/tokencache/internal/replica"
	"github.com/fleettoken/fleettoken/tokencache/internal/store"
)

// A payload is what the replica passes on of a record.
type payload struct {
	accessToken, tokenType, requestedBy string
	extra                               map[string]any
}

func replicaRecord(r store.Record) replica.Record {
	return replica.Record{
		Token: digest(r.AccessToken), Issued: r.Issued, Expires: r.Expires, Lifetime: r.Lifetime, Forced: r.Forced,
		Payload: &payload{r.AccessToken, r.Type, r.RequestedBy, r.Extra},
	}
}

func storeRecord(r replica.Record) store.Record {
	p := r.Payload.(*payload)
	return store.Record{
		Issued: r.Issued, Expires: r.Expires, Lifetime: r.Lifetime, Forced: r.Forced,
		AccessToken: p.accessToken, Type: p.tokenType, RequestedBy: p.requestedBy, Extra: p.extra,
	}
}

// issuedAt returns when a token was requested, by the clock of Redis. It is not known
// for one requested while Redis was unreachable.
func issuedAt(r replica.Record) time.Time {
	if r.Issued == 0 {
		return time.Time{}
	}
	return time.UnixMilli(r.Issued).UTC()
}

// digest identifies an access token in memory, without being it.
func digest(accessToken string) string { return store.Hash(accessToken) }
