package waypost

import "time"

// The types of sealed messages. The type is inside the seal.
const (
	MessageNotice       = "notice"        // hub to owner: a search found your pointer
	MessageFirstLeg     = "first_leg"     // state of inquiry to owner, without identity
	MessageFirstAnswer  = "first_answer"  // one bit
	MessageSecondLeg    = "second_leg"    // the applicant in clear
	MessageSecondAnswer = "second_answer" // the disclosure
	MessageRequest      = "request"       // an errand: one question to one state
	MessageReply        = "reply"         // and each of its replies
	MessageMoved        = "moved"         // hub to the former state of record: your pointer is another state's now
)

// MessageLife is how long a sealed message waits for a recipient that is down.
// It is shorter than the life of the keys that open it.
const MessageLife = 7 * 24 * time.Hour
