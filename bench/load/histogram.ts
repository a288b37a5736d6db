/** Latencies in buckets that grow with the value: 64 a power of two, so within 1.6 %; constant memory. */
import type { LatencySummary } from './plan.ts';

const SUB_BITS = 6;
const SUB = 2 ** SUB_BITS;
const BUCKETS = SUB * 32;

function bucketOf(us: number): number {
  const value = Math.max(1, Math.round(us));
  const power = Math.max(0, Math.floor(Math.log2(value)) - SUB_BITS);
  return Math.min(BUCKETS - 1, power * SUB + Math.floor(value / 2 ** power));
}

/** Upper end of a bucket in µs. */
function valueOf(bucket: number): number {
  if (bucket < 2 * SUB) return bucket;
  const power = Math.floor(bucket / SUB) - 1;
  return (bucket - power * SUB + 1) * 2 ** power;
}

export function createHistogram() {
  const counts = new Uint32Array(BUCKETS);
  let total = 0;
  let maxUs = 0;
  function at(part: number): number {
    let left = part * total;
    for (const [bucket, count] of counts.entries()) {
      left -= count;
      if (left <= 0 && count > 0) return Math.min(maxUs, valueOf(bucket)) / 1000;
    }
    return maxUs / 1000;
  }
  return {
    add(us: number): void {
      const bucket = bucketOf(us);
      counts[bucket] = (counts[bucket] ?? 0) + 1;
      total += 1;
      if (us > maxUs) maxUs = us;
    },
    /** In ms. */
    summary: (): LatencySummary => ({
      p50: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
      p999: at(0.999),
      max: maxUs / 1000,
    }),
  };
}
