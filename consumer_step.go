package parley

// step takes a job one step further; the scheduler calls it.
func (s *session) step(j *job) next {
	if j.verdict.action == actNone {
		j.verdict = s.precheck(j)
	}
	if j.verdict.action == actNone {
		err := s.attempt(j)
		j.verdict = s.judge(j, err)
	}
	return s.apply(j)
}

// precheck decides whether a job may be attempted now. It runs before each attempt and not on arrival: the message
// ahead of it may have failed in between.
func (s *session) precheck(j *job) verdict {
	if j.row == nil {
		if v := s.pausedKey(j); v.action != actNone {
			return v
		}
	}
	switch {
	case j.row != nil:
		if v := s.rows.precheck(j); v.action != actNone {
			return v
		}
		return s.pausedKey(j)
	case j.key == "" || j.tries > 0:
		return verdict{}
	case s.rows != nil:
		return s.rows.behind(j)
	case s.c.held.behind(j):
		return verdict{action: actPark, err: errKeyHeld}
	}
	return verdict{}
}
