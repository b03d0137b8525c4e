// Where one tag is not enough: the broker judges the properties of a message. Needs enablePropertyFilter=true.
package main

import (
	"context"
	"fmt"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-sql-filter"

func main() {
	p := inbox.Producer("go-sql-filter-producer")
	defer p.Shutdown()
	for order := 1; order <= 6; order++ {
		message := primitive.NewMessage(topic, []byte("order")).WithKeys([]string{fmt.Sprintf("order-%d", order)})
		message.WithProperty("amount", fmt.Sprint(order*10))
		message.WithProperty("region", []string{"eu", "us"}[order%2])
		_, err := p.SendSync(context.Background(), message)
		inbox.Check(err)
	}

	var seen inbox.Inbox
	c := inbox.Consumer("go-sql-filter")
	defer c.Shutdown()
	selector := consumer.MessageSelector{Type: consumer.SQL92, Expression: "amount BETWEEN 20 AND 50 AND region = 'eu'"}
	inbox.Check(c.Subscribe(topic, selector,
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				seen.Add(m.GetKeys() + " of " + m.GetProperty("amount"))
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Print(2)
}
