package parley

import "time"

// A PublishOption is an option of one event: for [Publish], [PublishAll] and [EventType.Record].
type PublishOption interface {
	apply(o *messageOptions)
	forPublish()
}

// A SendOption is an option of one command that is sent at once: for [Send].
type SendOption interface {
	apply(o *messageOptions)
	forSend()
}

// A SendTxOption is an option of one command in an outbox: for [SendTx] and [CommandType.Record].
type SendTxOption interface {
	apply(o *messageOptions)
	forSendTx()
}

// An AskOption is an option of one call in an outbox: for [Ask] and [CallType.Record].
type AskOption interface {
	apply(o *messageOptions)
	forAsk()
}

// An AwaitOption is an option of one call whose caller waits for the reply: for [Await].
type AwaitOption interface {
	apply(o *messageOptions)
	forAwait()
}

// A MessageOption is an option of any message.
type MessageOption interface {
	PublishOption
	SendOption
	SendTxOption
	AskOption
	AwaitOption
}

// A ScheduleOption is an option of a scheduled message. Only an outbox can keep one until it is due, so [Send] and [Await] take none.
type ScheduleOption interface {
	PublishOption
	SendTxOption
	AskOption
}

// An ExpiryOption is an option of a message that may expire: a command or call, not an event.
type ExpiryOption interface {
	SendOption
	SendTxOption
	AskOption
	AwaitOption
}

// The option types: each has the marker methods of the functions that take it.
type (
	messageOption  func(*messageOptions)
	scheduleOption func(*messageOptions)
	expiryOption   func(*messageOptions)
	askOption      func(*messageOptions)
)

func (f messageOption) apply(o *messageOptions)  { f(o) }
func (f scheduleOption) apply(o *messageOptions) { f(o) }
func (f expiryOption) apply(o *messageOptions)   { f(o) }
func (f askOption) apply(o *messageOptions)      { f(o) }

func (messageOption) forPublish() {}
func (messageOption) forSend()    {}
func (messageOption) forSendTx()  {}
func (messageOption) forAsk()     {}
func (messageOption) forAwait()   {}

func (scheduleOption) forPublish() {}
func (scheduleOption) forSendTx()  {}
func (scheduleOption) forAsk()     {}

func (expiryOption) forSend()   {}
func (expiryOption) forSendTx() {}
func (expiryOption) forAsk()    {}
func (expiryOption) forAwait()  {}

func (askOption) forAsk() {}

// WithDueAt schedules the message for t, by the database's clock. A time in the past means at once.
func WithDueAt(t time.Time) ScheduleOption {
	return scheduleOption(func(o *messageOptions) { o.due, o.at = t, true })
}

// WithTags marks a scheduled message, so that Cancel and Reschedule find it.
func WithTags(tags Tags) ScheduleOption {
	return scheduleOption(func(o *messageOptions) { o.tags, o.tagged = tags, true })
}

// WithUnlessTags makes a scheduled message a no-op, with id 0, if a message with these tags
// is already scheduled for the same exchange and routing key. On PostgreSQL it needs a transaction at
// READ COMMITTED, the default, or SERIALIZABLE: at REPEATABLE READ publishing returns ErrInvalid.
func WithUnlessTags(tags Tags) ScheduleOption {
	return scheduleOption(func(o *messageOptions) { o.unless, o.conditional = tags, true })
}

// WithKey sets the ordering key: ordered routes handle messages of one key one after another.
func WithKey(key string) MessageOption { return messageOption(func(o *messageOptions) { o.key = key }) }

// WithHeader adds an AMQP header.
func WithHeader(name, value string) MessageOption {
	return messageOption(func(o *messageOptions) { o.headers = append(o.headers, header{name, value}) })
}

// WithMessageID sets the message_id instead of a new UUIDv7, for callers that
// have their own identity. Receivers treat two messages with the same id as duplicates.
func WithMessageID(id string) MessageOption {
	return messageOption(func(o *messageOptions) { o.id = id })
}

// WithExpiresIn makes a command or call expire after d: a receiver that gets it later does not
// handle it. d must be positive.
func WithExpiresIn(d time.Duration) ExpiryOption {
	return expiryOption(func(o *messageOptions) { o.expiry.in, o.expiry.hasIn = d, true })
}

// WithExpiresAt makes a command or call expire at t, which must be in the future.
func WithExpiresAt(t time.Time) ExpiryOption {
	return expiryOption(func(o *messageOptions) { o.expiry.at, o.expiry.hasAt = t, true })
}

// WithReplyTo names the exchange that the reply of an [Ask] is published to. Required there.
func WithReplyTo(exchange string) AskOption {
	return askOption(func(o *messageOptions) { o.replyTo = exchange })
}

// WithExpiryNotice schedules a timeout notice for an [Ask] with an expiry. If no reply was handled before the notice,
// the handler registered with [OnExpired] runs. The expiry must be shorter than the retention of that handler's inbox: a notice that
// comes later is parked, because the inbox may have forgotten the reply. A call with [WithDueAt] takes no notice (ErrInvalid).
func WithExpiryNotice() AskOption { return askOption(func(o *messageOptions) { o.notify = true }) }
