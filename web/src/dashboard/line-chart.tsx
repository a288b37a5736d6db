/** Two lines over the hours of a day: today and yesterday. Drawn here: a chart library would be half of the first load. */
import { formatNumber } from '../format.ts';

const WIDTH = 1100;
const HEIGHT = 200;
const LEFT = 56;
const RIGHT = 24;
const BOTTOM = 22;
const TOP = 8;
const HOURS = 24;
const GRID_LINES = 4;

/** A round number at or above the largest value, so that grid lines fall on round numbers. */
function ceilingOf(most: number): number {
  if (most <= GRID_LINES) return GRID_LINES;
  const magnitude = 10 ** Math.floor(Math.log10(most));
  return Math.ceil(most / magnitude / 2) * 2 * magnitude;
}

export function LineChart(props: {
  label: string;
  /** Values by hour; shorter when the day is not over. */
  now: readonly number[];
  before: readonly number[];
}) {
  const { label, now, before } = props;
  const top = ceilingOf(Math.max(0, ...now, ...before));
  const x = (hour: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * hour) / (HOURS - 1);
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const path = (values: readonly number[]): string =>
    values
      .map((value, hour) => `${hour === 0 ? 'M' : 'L'}${x(hour).toFixed(1)} ${y(value).toFixed(1)}`)
      .join('');
  const steps = Array.from({ length: GRID_LINES + 1 }, (_, index) => (top * index) / GRID_LINES);
  return (
    <figure>
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
        {steps.map((value) => (
          <g key={value}>
            <line className="grid-line" x1={LEFT} x2={WIDTH - RIGHT} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 6} y={y(value) + 4} textAnchor="end">
              {formatNumber(value)}
            </text>
          </g>
        ))}
        {[0, 6, 12, 18, 23].map((hour) => (
          <text key={hour} x={x(hour)} y={HEIGHT - 6} textAnchor="middle">
            {`${String(hour).padStart(2, '0')}:00`}
          </text>
        ))}
        <path className="before" d={path(before)} />
        <path className="now" d={path(now)} />
      </svg>
      <figcaption className="legend">
        <span className="now">━ today</span>
        <span className="before">╌ yesterday</span>
      </figcaption>
      <table className="visually-hidden">
        <caption>{label} by hour</caption>
        <thead>
          <tr>
            <th scope="col">Hour</th>
            <th scope="col">Today</th>
            <th scope="col">Yesterday</th>
          </tr>
        </thead>
        <tbody>
          {before.map((value, hour) => (
            // The place in the list is the hour.
            <tr key={`hour ${hour}`}>
              <th scope="row">{hour}:00</th>
              <td>{now[hour] ?? '—'}</td>
              <td>{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
