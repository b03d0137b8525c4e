// A question by message and its answer by message: the asking producer waits, any member of the group may answer.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

const topic = "go-request-reply"

func main() {
	answering := inbox.Producer("go-request-reply-answering")
	defer answering.Shutdown()
	c := inbox.Consumer("go-request-reply")
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			// knows from the properties of the request who is waiting
			answer, err := consumer.CreateReplyMessage(messages[0], nil)
			inbox.Check(err)
			// CreateReplyMessage of this client (2.1.2) forgets the body that it is given
			answer.Body = []byte("answer to " + string(messages[0].Body))
			if _, err := answering.SendSync(ctx, answer); err != nil {
				// nobody waits any more, or the broker does not know the asking client yet
				fmt.Fprintln(os.Stderr, "not answered:", err)
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())

	asking := inbox.Producer("go-request-reply-asking")
	defer asking.Shutdown()
	// Answers reach a client that the broker knows by its heartbeat, and this client sends the first one a second after its
	// start: the first question may have to be asked again.
	for try := 1; ; try++ {
		question := primitive.NewMessage(topic, []byte("question 1"))
		answer, err := asking.Request(context.Background(), 3*time.Second, question)
		if err == nil {
			fmt.Println(string(answer.Body))
			return
		}
		if try == 5 {
			panic(err)
		}
	}
}
