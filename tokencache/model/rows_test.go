package model

// elsewhere are the rows of package trace that no world leads to, each with its state and
// its event. The stories of package tokencache take them: there replies are lost, a lease
// ends early, and one token is requested in two ways. A cold start is a fetch here.
var elsewhere = map[string]bool{
	"idle: Probed:held": true, "idle: Probed:free": true, "released: Probed:held": true, "released: Probed:free": true,

	"idle: RedisFailed:false": true, "fetched: QueueReports": true, "acquiring the lease: RedisFailed:true": true,
	"fetching under the lease: RedisFailed:true": true, "needing a token: RedisFailed:true": true, "needing a token: HeldBack:true": true,
	"asking the ledger: QueueReports": true, "not admitted: RedisFailed:false": true, "not admitted: RedisFailed:true": true,
	"sending the request: QueueReports": true, "answered without a token: RedisFailed:false": true, "answered without a token: RedisFailed:true": true,
	"released: RedisFailed:false": true, "released: RedisFailed:true": true, "released: TakeReports": true,

	"requesting a token: RedisFailed:false": true, "requesting a token: RedisFailed:true": true,
	"requesting a token: Fetched:Done": true, "requesting a token: Fetched:WriteBack": true, "requesting a token: Fetched:Renew": true,
	"writing back once more: WroteBack:Done": true, "writing back once more: WroteBack:Renew": true,

	"without Redis: RequestBeyondRedis:false": true, "requesting without Redis: Request:false": true, "answered without Redis: RequestFailed": true,
	"without Redis under the lease: RequestBeyondRedis:false": true, "without Redis under the lease: RequestBeyondRedis:true": true,
	"requesting without Redis under the lease: Request:false": true, "requesting without Redis under the lease: Request:true": true,
	"sending without Redis under the lease: QueueReports": true, "answered without Redis under the lease: Issued": true,
	"answered without Redis under the lease: RequestFailed": true,
}
