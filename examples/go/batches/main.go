// Many small messages in one request, and many in one call of the consumer. A batch goes to one topic and one queue; it may
// not hold delayed or transactional messages, and together it must stay below maxMessageSize (4 MiB by default).
package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const (
	topic        = "go-batches"
	batchSizeMax = 128 * 1024
	// for what a message has beside topic, body and properties
	messageOverhead = 128
)

func main() {
	p := inbox.Producer("go-batches-producer")
	defer p.Shutdown()
	var waiting []*primitive.Message
	for i := 0; i < 30; i++ {
		message := primitive.NewMessage(topic, make([]byte, 10*1024))
		waiting = append(waiting, message.WithKeys([]string{fmt.Sprintf("line-%d", i)}))
	}
	batches := split(waiting)
	for _, batch := range batches {
		_, err := p.SendSync(context.Background(), batch...)
		inbox.Check(err)
	}
	fmt.Printf("30 messages in %d sends\n", len(batches))

	var seen inbox.Inbox
	var several atomic.Bool
	c := inbox.Consumer("go-batches", consumer.WithConsumeMessageBatchMaxSize(10))
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if len(messages) > 1 {
				several.Store(true)
			}
			for _, m := range messages {
				seen.Add(m.GetKeys())
			}
			// ConsumeRetryLater would bring all of them again
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Wait(30)
	fmt.Printf("30 messages received, several in one call: %v\n", several.Load())
}

func split(messages []*primitive.Message) [][]*primitive.Message {
	var batches [][]*primitive.Message
	size := batchSizeMax
	for _, m := range messages {
		more := len(m.Body) + len(m.Topic) + messageOverhead
		if size+more > batchSizeMax {
			batches = append(batches, nil)
			size = 0
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], m)
		size += more
	}
	return batches
}
