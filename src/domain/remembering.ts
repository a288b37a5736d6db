/** What is made of a key, kept for the next time that it comes: few keys make most of the traffic. */

/** Forgets all at `max` keys: a stranger who sends ever new ones costs their making, no memory. */
export function remembering<Made, Key extends string | number = string>(
  max: number,
  make: (key: Key) => Made,
): (key: Key) => Made {
  const known = new Map<Key, Made>();
  return (key) => {
    let made = known.get(key);
    if (made === undefined) {
      made = make(key);
      if (known.size >= max) known.clear();
      known.set(key, made);
    }
    return made;
  };
}
