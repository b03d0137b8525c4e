// One topic for an application, a tag for each kind of message, and the number that people will ask for as the key.
// The broker leaves out other tags, so they never travel; a key finds its messages later:
// bin/mqadmin queryMsgByKey -t go-tags-and-keys -k order-2
package main

import (
	"context"
	"fmt"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-tags-and-keys"

func main() {
	p := inbox.Producer("go-tags-and-keys-producer")
	defer p.Shutdown()
	for order := 1; order <= 3; order++ {
		for _, kind := range []string{"created", "paid", "cancelled"} {
			message := primitive.NewMessage(topic, []byte(fmt.Sprintf("order %d is %s", order, kind)))
			message.WithTag(kind).WithKeys([]string{fmt.Sprintf("order-%d", order)})
			_, err := p.SendSync(context.Background(), message)
			inbox.Check(err)
		}
	}

	var seen inbox.Inbox
	c := inbox.Consumer("go-tags-and-keys")
	defer c.Shutdown()
	// every member of the group has to subscribe to the same
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: "paid || cancelled"}
	inbox.Check(c.Subscribe(topic, selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				seen.Add(m.GetKeys() + ": " + m.GetTags())
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Print(6)
}
