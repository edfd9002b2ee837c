package command_test

import (
	"context"
	"fmt"

	"github.com/parley-go/parley"
	"github.com/parley-go/parley/service"
	"github.com/parley-go/parley/service/command"
)

type order struct {
	Item string `json:"item"`
}

var orderPlaced = parley.NewEvent[order]("order", "placed")

// Main is the whole main function of a service.
func ExampleMain() {
	main := func() {
		command.Main(func(s *service.Service) error {
			parley.On(s.Router, orderPlaced, func(_ context.Context, e parley.Event[order]) error {
				s.Logger.Info("order placed", "item", e.Payload.Item)
				return nil
			})
			return nil
		})
	}
	_ = main
}

// The command tree of an operator's binary, with dev added.
func ExampleNewDev() {
	root := command.NewOperator("shop", "shop operates the shop.")
	root.AddCommand(command.NewDev())
	dev, _, err := root.Find([]string{"dev"})
	fmt.Println(dev.Name(), err)
	// Output: dev <nil>
}
