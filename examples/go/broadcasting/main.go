// Every member of the group gets every message, for example to drop an entry from its cache. Each keeps its progress in a
// file of its own machine (~/.rocketmq_client_go), and what fails is not brought again.
package main

import (
	"context"
	"fmt"

	"kerolox/examples/inbox"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-broadcasting"

func main() {
	p := inbox.Producer("go-broadcasting-producer")
	defer p.Shutdown()
	var seen inbox.Inbox
	one := member("one", &seen)
	defer one.Shutdown()
	two := member("two", &seen)
	defer two.Shutdown()
	for i := 1; i <= 2; i++ {
		message := primitive.NewMessage(topic, []byte("drop")).WithKeys([]string{fmt.Sprintf("change-%d", i)})
		_, err := p.SendSync(context.Background(), message)
		inbox.Check(err)
	}
	seen.Print(4)
}

func member(name string, seen *inbox.Inbox) rocketmq.PushConsumer {
	c := inbox.Consumer("go-broadcasting",
		consumer.WithInstance(name), // two members in one process
		consumer.WithConsumerModel(consumer.BroadCasting))
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				seen.Add(name + " got " + m.GetKeys())
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	return c
}
