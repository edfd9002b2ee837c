package main

import "github.com/parley-go/parley"

// User is the payload of the events of users.
type User struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Phone string `json:"phone"`
}

// SMS holds the arguments of the command that notifications handles.
type SMS struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// QuoteRequest is the argument of the call from users to pricing.
type QuoteRequest struct {
	Item   string `json:"item"`
	Pieces int    `json:"pieces"`
}

// QuoteReply is the price of all pieces.
type QuoteReply struct {
	Cents int `json:"cents"`
}

// contracts holds the contracts that the services share. Services usually declare them as package variables. Here
// the names have a prefix, so that several shops can run on one broker.
type contracts struct {
	prefix      string
	Registered  *parley.EventType[User]
	RemindPhoto *parley.EventType[User]
	SendSMS     *parley.CommandType[SMS]
	Quote       *parley.CallType[QuoteRequest, QuoteReply]
}

func newContracts(prefix string) *contracts {
	return &contracts{
		prefix:      prefix,
		Registered:  parley.NewEvent[User](prefix+"user", "registered"),
		RemindPhoto: parley.NewEvent[User](prefix+"user", "remind.photo"),
		SendSMS:     parley.NewCommand[SMS](prefix+"sms", "send"),
		Quote:       parley.NewCall[QuoteRequest, QuoteReply](prefix+"pricing", "quote"),
	}
}
