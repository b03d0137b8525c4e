// The shortest way to send a message and to get it.
package main

import (
	"context"
	"fmt"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func main() {
	p := inbox.Producer("go-quickstart-producer")
	defer p.Shutdown()
	result, err := p.SendSync(context.Background(), primitive.NewMessage("go-quickstart", []byte("Hello Kerolox")))
	inbox.Check(err)
	if result.Status == primitive.SendOK {
		fmt.Println("sent: SEND_OK")
	}

	var seen inbox.Inbox
	c := inbox.Consumer("go-quickstart")
	defer c.Shutdown()
	inbox.Check(c.Subscribe("go-quickstart", consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				seen.Add("received: " + string(m.Body))
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Print(1)
}
