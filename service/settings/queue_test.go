package settings

const threeQueues = `
broker: {url: "amqps://u:p@h/", queue_type: quorum}
consumer: {concurrency: 8, retry_delays: [1m]}
exchanges: [user, order, mail]
queues:
  orders: {binds: [user, [order, "paid.*"]], concurrency: 32, prefetch: 64, retry_delays: [10s, 1m, 10m], arguments: {x-single-active-consumer: true}}
  mail:   {binds: [[mail, "#"]], type: classic, concurrency: 4, poison_limit: 0, unhandled: park}
  audit:
`
