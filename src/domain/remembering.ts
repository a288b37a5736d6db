/** What is made of a text, kept for the next time that it comes: few texts make most of the traffic. */

/** Forgets all at `max` texts: a stranger who sends ever new ones costs their making, no memory. */
export function remembering<Made>(
  max: number,
  make: (text: string) => Made,
): (text: string) => Made {
  const known = new Map<string, Made>();
  return (text) => {
    let made = known.get(text);
    if (made === undefined) {
      made = make(text);
      if (known.size >= max) known.clear();
      known.set(text, made);
    }
    return made;
  };
}
