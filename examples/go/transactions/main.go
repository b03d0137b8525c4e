// A message that is delivered if, and only if, the work it tells of was done. When the producer does not say how it went,
// the broker asks after transactionTimeOut, in rounds of transactionCheckInterval (a minute by default).
package main

import (
	"context"
	"fmt"
	"sync"

	"kerolox/examples/inbox"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const topic = "go-transactions"

// payment does the work. paid stands for the database: the answer must come from what was stored, since another process may
// be asked.
type payment struct {
	paid sync.Map
	seen *inbox.Inbox
}

func (p *payment) ExecuteLocalTransaction(half *primitive.Message) primitive.LocalTransactionState {
	switch half.GetKeys() {
	case "order-1":
		p.paid.Store(half.GetKeys(), true)
		return primitive.CommitMessageState
	case "order-2":
		return primitive.RollbackMessageState
	default:
		p.paid.Store(half.GetKeys(), true)
		return primitive.UnknowState // as if the process had ended here
	}
}

func (p *payment) CheckLocalTransaction(half *primitive.MessageExt) primitive.LocalTransactionState {
	p.seen.Add("asked about " + half.GetKeys())
	if _, paid := p.paid.Load(half.GetKeys()); paid {
		return primitive.CommitMessageState
	}
	return primitive.RollbackMessageState
}

func main() {
	rlog.SetLogLevel("error")
	var seen inbox.Inbox
	p, err := rocketmq.NewTransactionProducer(&payment{seen: &seen},
		producer.WithNsResolver(inbox.NameServers()),
		producer.WithGroupName("go-transactions-producer"),
		producer.WithInstanceName("go-transactions-producer"))
	inbox.Check(err)
	inbox.Check(p.Start())
	defer p.Shutdown()
	for order := 1; order <= 3; order++ {
		message := primitive.NewMessage(topic, []byte(fmt.Sprintf("order %d is paid", order)))
		message.WithKeys([]string{fmt.Sprintf("order-%d", order)})
		_, err := p.SendMessageInTransaction(context.Background(), message)
		inbox.Check(err)
	}

	c := inbox.Consumer("go-transactions")
	defer c.Shutdown()
	inbox.Check(c.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range messages {
				seen.Add("delivered " + m.GetKeys())
			}
			return consumer.ConsumeSuccess, nil
		}))
	inbox.Check(c.Start())
	seen.Print(3)
}
