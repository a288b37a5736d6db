/** Small SVG plots: bars and lines. No script, no font, no colour that a dark page would hide. */

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export type Chart =
  | {
      readonly kind: 'bars';
      readonly title: string;
      readonly unit: string;
      readonly bars: readonly { readonly name: string; readonly value: number }[];
    }
  | {
      readonly kind: 'lines';
      readonly title: string;
      readonly xLabel: string;
      readonly yLabel: string;
      readonly series: readonly Series[];
    };

const WIDTH = 640;
const BAR_PX = 26;
const LABEL_PX = 210;
const COLOURS = ['#2b7de9', '#e0752d', '#3a9d5d', '#a14fc4'] as const;
const STYLE = 'font-family="sans-serif" font-size="12" fill="#777"';

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

function shorten(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)} k`;
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

function svg(height: number, title: string, body: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" ${STYLE}>
<text x="8" y="16" font-weight="bold">${escape(title)}</text>
${body}
</svg>
`;
}

function drawBars(chart: Extract<Chart, { kind: 'bars' }>): string {
  const most = Math.max(...chart.bars.map(({ value }) => value), Number.MIN_VALUE);
  const body = chart.bars.map(({ name, value }, index) => {
    const y = 30 + index * BAR_PX;
    const width = Math.max(1, (value / most) * (WIDTH - LABEL_PX - 110));
    return `<text x="${LABEL_PX - 8}" y="${y + 13}" text-anchor="end">${escape(name)}</text><rect x="${LABEL_PX}" y="${y}" width="${width.toFixed(1)}" height="18" fill="${COLOURS[index % COLOURS.length]}"/><text x="${(LABEL_PX + width + 6).toFixed(1)}" y="${y + 13}">${shorten(value)} ${escape(chart.unit)}</text>`;
  });
  return svg(40 + chart.bars.length * BAR_PX, chart.title, body.join('\n'));
}

const PLOT = { left: 60, top: 30, width: 560, height: 200 } as const;

function drawLines(chart: Extract<Chart, { kind: 'lines' }>): string {
  const points = chart.series.flatMap((series) => series.points);
  const maxX = Math.max(...points.map(({ x }) => x), Number.MIN_VALUE);
  const maxY = Math.max(...points.map(({ y }) => y), Number.MIN_VALUE);
  const { left, top, width, height } = PLOT;
  const place = ({ x, y }: { x: number; y: number }): string =>
    `${(left + (x / maxX) * width).toFixed(1)},${(top + height - (Math.max(0, y) / maxY) * height).toFixed(1)}`;
  const lines = chart.series.map((series, index) => {
    const colour = COLOURS[index % COLOURS.length];
    return `<polyline fill="none" stroke="${colour}" stroke-width="1.5" points="${series.points.map(place).join(' ')}"/><text x="${left + 8}" y="${top + 14 + index * 15}" fill="${colour}">${escape(series.name)}</text>`;
  });
  const axes = `<path d="M${left},${top} V${top + height} H${left + width}" fill="none" stroke="#999"/><text x="${left - 6}" y="${top + 10}" text-anchor="end">${shorten(maxY)}</text><text x="${left - 6}" y="${top + height}" text-anchor="end">0</text><text x="${left + width}" y="${top + height + 16}" text-anchor="end">${shorten(maxX)} ${escape(chart.xLabel)}</text><text x="${left}" y="${top + height + 16}">${escape(chart.yLabel)}</text>`;
  return svg(top + height + 26, chart.title, [axes, ...lines].join('\n'));
}

export function drawChart(chart: Chart): string {
  return chart.kind === 'bars' ? drawBars(chart) : drawLines(chart);
}
