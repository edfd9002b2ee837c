package rest_test

type item struct{ ItemID int }
