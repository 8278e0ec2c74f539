import { type Clock, wallTime } from '../../core/time.ts'

/** A clock that shows `now` at this moment and runs on in real time, so that recorded days are yesterday. */
export function shiftedClock(clock: Clock, now: number): Clock {
  const shift = now - clock.now()
  return { now: () => wallTime(clock.now() + shift) }
}
