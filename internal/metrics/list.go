package metrics

// Kind is how a metric behaves, in Prometheus' words.
type Kind string

const (
	Counter   Kind = "counter"   // since the process started; never falls
	Gauge     Kind = "gauge"     // at this moment
	Histogram Kind = "histogram" // of seconds
)

// Metric describes one metric. Its labels take members' names, calls, codes and
// classes and nothing else: no ticket, operator, case or person.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
}

// The names of the metrics.
const (
	Calls           = "waypost_calls_total"
	CallSeconds     = "waypost_call_seconds"
	QuotaUsed       = "waypost_quota_used"
	QuotaLimit      = "waypost_quota_limit"
	QuotaAlarm      = "waypost_quota_alarm_percent"
	JournalEntries  = "waypost_journal_entries"
	LogPublished    = "waypost_log_published_entries"
	LogCosignedAge  = "waypost_log_cosigned_age_seconds"
	RosterSeconds   = "waypost_roster_remaining_seconds"
	SharesMissing   = "waypost_shares_missing"
	LogsBlocked     = "waypost_logs_blocked"
	MailboxMessages = "waypost_mailbox_messages"
	MailboxBytes    = "waypost_mailbox_bytes"
	Checks          = "waypost_checks_total"
	ChecksOwed      = "waypost_checks_owed"
	DriverItems     = "waypost_driver_items_total"
	DriverRejected  = "waypost_driver_rejected_total"
	DriverReports   = "waypost_driver_reports"
	// DuplicateCases and FrequentInquiries wait for people.
	DuplicateCases    = "waypost_duplicate_cases"
	FrequentInquiries = "waypost_frequent_inquiries"
	Suspense          = "waypost_suspense_items"
	UnaskedSearches   = "waypost_unasked_searches"
	ReadErrors        = "waypost_metric_read_errors_total"
)

// All is every metric there is. A role serves those that it knows, and none of
// the Go runtime or the process: what a role serves is what stands here.
// docs/operations/metrics.md explains them.
var All = []Metric{
	{Calls, Counter, []string{"call", "member", "code"}, "Calls answered, by the caller and the code of the answer (ok for success)."},
	{CallSeconds, Histogram, []string{"call"}, "How long a call took here, in seconds; long polls included."},
	{QuotaUsed, Gauge, []string{"member", "class"}, "What a member has used of a limit in the current window."},
	{QuotaLimit, Gauge, []string{"member", "class"}, "The limit itself, as this counter grants it."},
	{QuotaAlarm, Gauge, []string{"member", "class"}, "The highest alarm raised in the current window: 0, 80 or 100."},
	{JournalEntries, Gauge, nil, "Entries committed to this role's ledger."},
	{LogPublished, Gauge, nil, "Entries in the newest published checkpoint of this role's log."},
	{LogCosignedAge, Gauge, nil, "Age of the newest cosigned checkpoint of this role's log, in seconds."},
	{RosterSeconds, Gauge, nil, "Time until the roster in force runs out, in seconds."},
	{SharesMissing, Gauge, nil, "Shares that the newest roster names for this key holder and that it does not hold."},
	{LogsBlocked, Gauge, nil, "Logs of this role that this process has to publish and cannot, its own included."},
	{MailboxMessages, Gauge, []string{"member"}, "Messages that wait in a member's mailbox."},
	{MailboxBytes, Gauge, []string{"member"}, "Bytes that wait in a member's mailbox."},
	{Checks, Counter, []string{"outcome"}, "Checks of this gateway that were completed, by outcome."},
	{ChecksOwed, Gauge, nil, "Checks of this gateway that are owed."},
	{DriverItems, Counter, []string{"member", "class"}, "Driver history items of other states taken here, by reporter and how soon they came: 10_days, 31_days or later."},
	{DriverRejected, Counter, []string{"member"}, "Driver history items of other states rejected here, by reporter."},
	{DriverReports, Gauge, []string{"class"}, "Reports of this gateway about drivers of other states without a final word, by how far they have come."},
	{DuplicateCases, Gauge, []string{"class"}, "Duplicate cases of this gateway that are not closed, by age in days."},
	{FrequentInquiries, Gauge, nil, "Records of this gateway that were asked about unusually often, not looked at yet."},
	{Suspense, Gauge, []string{"class"}, "What this gateway has left unfinished between states for so long that it is in suspense, or raises an alarm."},
	{UnaskedSearches, Gauge, []string{"member"}, "Searches of the last day that found a record of this gateway, by who searched, on which no question came within an hour."},
	{ReadErrors, Counter, []string{"metric"}, "Times that a metric could not be read; it is left out then."},
}

// calls may take this long and longer: the bounds of the histogram, in seconds.
var bounds = []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
