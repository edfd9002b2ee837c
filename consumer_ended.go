package parley

// endedKeys notes the ends of deliveries of ordering keys, for returns. The scheduler's mutex guards it.
type endedKeys struct {
	unsettled []keyedDelivery // in the order of each key
	acked     []keyedDelivery // the last ones, as a ring
	next      int             // the oldest entry of a full ring
}

func (e *endedKeys) add(j *job, limit int) {
	if j.key == "" || j.row != nil || limit == 0 {
		return
	}
	d := keyedDelivery{j.key, j.digest}
	switch {
	case !j.settled:
		e.unsettled = append(e.unsettled, d)
	case len(e.acked) < limit:
		e.acked = append(e.acked, d)
	default:
		e.acked[e.next] = d
		e.next = (e.next + 1) % limit
	}
}

// unsettled returns the deliveries of ordering keys without a received settlement, in the order of each key, and the last ones that
// were acked. The broker may not have received these acks. It is called between stop and forget.
func (s *scheduler) unsettled() (unsettled, acked []keyedDelivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsettled, acked = s.ended.unsettled, s.ended.acked
	for key, queue := range s.keys {
		for _, j := range append([]*job{queue.first}, queue.waiting...) {
			if j != nil && j.row == nil {
				unsettled = append(unsettled, keyedDelivery{key, j.digest})
			}
		}
	}
	return unsettled, acked
}
