// The ways to tell a client where the name servers are. Several are separated by semicolons. An HTTP address is asked again
// every two minutes, so name servers can move without a restart of the clients.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"kerolox/examples/inbox"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func main() {
	addresses := inbox.NameServers().Resolve()
	send("code", primitive.NewPassthroughResolver(addresses))

	if os.Getenv("NAMESRV_ADDR") != "" {
		send("environment", primitive.NewEnvResolver())
	} else {
		fmt.Println("environment: NAMESRV_ADDR is not set")
	}

	// in earnest a static file; what it last said is kept in ~/logs/rocketmq-go/snapshot for when it cannot be reached
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	inbox.Check(err)
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Join(addresses, ";"))
	}))
	send("HTTP", primitive.NewHttpResolver("examples", "http://"+listener.Addr().String()+"/rocketmq/nsaddr"))
}

func send(way string, resolver primitive.NsResolver) {
	// clients of one process and one instance name share their connections, and so their name servers
	p := inbox.Producer("go-name-server-addresses-producer", producer.WithInstanceName(way), producer.WithNsResolver(resolver))
	defer p.Shutdown()
	result, err := p.SendSync(context.Background(), primitive.NewMessage("go-name-server-addresses", []byte(way)))
	inbox.Check(err)
	if result.Status == primitive.SendOK {
		fmt.Println(way + ": SEND_OK")
	}
}
