package settings_test

import (
	"fmt"
	"log"

	"github.com/parley-go/parley/service/settings"
)

// Settings come from the environment. A password is hidden when it is printed.
func ExampleLoad() {
	s, err := settings.Load(&settings.LoadOptions{Environ: []string{
		"PARLEY_QUEUE=shop", "PARLEY_BINDS=order:placed.*", "PARLEY_BROKER_URL=amqps://shop:s3cret@mq.example.com/",
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Queue, s.Binds, s.Broker.URL)
	// Output: shop [{order placed.*}] amqps://shop:xxxxx@mq.example.com/
}

// All mistakes are reported at once, each with its source and a hint.
func ExampleError() {
	_, err := settings.Load(&settings.LoadOptions{Environ: []string{"PARLEY_QUEU=shop", "PARLEY_LOG_LEVEL=loud"}})
	fmt.Println(err)
	// Output:
	// settings: 2 mistakes:
	//   environment variable PARLEY_QUEU: unknown setting (did you mean PARLEY_QUEUE?)
	//   environment variable PARLEY_LOG_LEVEL: "loud" is not known (use debug, info, warn or error)
}
