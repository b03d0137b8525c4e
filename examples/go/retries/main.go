// Messages come at least once. A consumer therefore goes by a key of the business and does each piece of work once; what
// fails it hands back, and what fails too often ends in the dead letters of its group (%DLQ%go-retries).
package main

import (
	"context"
	"fmt"
	"sync"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-retries"

// booked stands for a unique key in the database that the work is written to.
var booked sync.Map

func main() {
	p := inbox.Producer("go-retries-producer")
	defer p.Shutdown()
	// order-2 is sent twice, as a producer does after a time-out
	for _, order := range []string{"order-1", "order-2", "order-2", "order-3", "order-4"} {
		message := primitive.NewMessage(topic, []byte(order)).WithKeys([]string{order})
		_, err := p.SendSync(context.Background(), message)
		inbox.Check(err)
	}

	var seen inbox.Inbox
	c := inbox.Consumer("go-retries", consumer.WithMaxReconsumeTimes(1))
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			// the delay level of the next try; 0, the default, waits longer from try to try: 10 s, 30 s, 1 min, ...
			if how, ok := primitive.GetConcurrentlyCtx(ctx); ok {
				how.DelayLevelWhenNextConsume = 1
			}
			if book(messages[0].GetKeys(), messages[0].ReconsumeTimes, &seen) {
				return consumer.ConsumeSuccess, nil
			}
			return consumer.ConsumeRetryLater, nil
		}))
	inbox.Check(c.Start())
	// the first try of a new group may take half a minute: this client looks for the group's retry topic that often
	seen.Print(7)
}

func book(order string, earlierTries int32, seen *inbox.Inbox) bool {
	if order == "order-4" || order == "order-3" && earlierTries == 0 {
		seen.Add(fmt.Sprintf("%s: try %d failed", order, earlierTries+1))
		return false
	}
	if _, again := booked.LoadOrStore(order, true); again {
		seen.Add(order + ": came again, nothing to do")
	} else {
		seen.Add(fmt.Sprintf("%s: booked at try %d", order, earlierTries+1))
	}
	return true
}
