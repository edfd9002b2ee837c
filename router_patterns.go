package parley

import "slices"

// A patternNode is a node of the tree of an exchange's patterns, in which patterns with the same first words share their nodes. So a
// routing key is compared with few patterns, however many there are.
type patternNode struct {
	route *Route                  // of the pattern that ends here, or nil
	words map[string]*patternNode // by the next word of the pattern
	star  *patternNode            // the next word is *
	hash  *patternNode            // the next word is #
	loops bool                    // this node is a #: it takes any number of further words
}

// add adds a route below n.
func (n *patternNode) add(words []string, r *Route) {
	for _, w := range words {
		n = n.next(w)
	}
	n.route = r
}

// next returns the node of the next word, and makes it if there is none.
func (n *patternNode) next(word string) *patternNode {
	switch word {
	case "*":
		if n.star == nil {
			n.star = &patternNode{}
		}
		return n.star
	case "#":
		if n.hash == nil {
			n.hash = &patternNode{loops: true}
		}
		return n.hash
	}
	if n.words == nil {
		n.words = map[string]*patternNode{}
	}
	if n.words[word] == nil {
		n.words[word] = &patternNode{}
	}
	return n.words[word]
}

// find returns the most specific route below n whose pattern matches the words of a routing key, or nil. It goes through the words once,
// with all nodes that the words so far can lead to.
func (n *patternNode) find(words []string) (best *Route) {
	reached := n.reach(nil)
	for _, w := range words {
		var further []*patternNode
		for _, at := range reached {
			if at.loops {
				further = at.reach(further)
			}
			further = at.words[w].reach(further)
			further = at.star.reach(further)
		}
		reached = further
	}
	for _, at := range reached {
		if at.route != nil && (best == nil || at.route.moreSpecific(best)) {
			best = at.route
		}
	}
	return best
}

// reach adds n, which may be nil, and the nodes that follow it without a word, because # also stands for no word.
func (n *patternNode) reach(nodes []*patternNode) []*patternNode {
	for ; n != nil && !slices.Contains(nodes, n); n = n.hash {
		nodes = append(nodes, n)
	}
	return nodes
}

// moreSpecific reports whether r comes before another route that matches too. Of two that are equally specific the first one wins.
func (r *Route) moreSpecific(than *Route) bool {
	return r.rank > than.rank || r.rank == than.rank && r.number < than.number
}

// specificity ranks patterns: more literal words first, then fewer #, then longer.
func specificity(words []string) int {
	score := 0
	for _, w := range words {
		switch w {
		case "#":
			score--
		case "*":
			score += 100
		default:
			score += 10_000
		}
	}
	return score
}
