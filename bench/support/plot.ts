/** Plots of measurements as SVG text, drawn by ECharts, which needs no browser for that. */

import * as echarts from 'echarts';

export interface Plot {
  readonly title: string;
  /** What lies along the x axis; categories, in order. */
  readonly x: { readonly name: string; readonly labels: readonly (string | number)[] };
  readonly y: { readonly name: string; readonly logarithmic?: boolean };
  /** One value for each label; null where nothing was measured. */
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  /** Default: lines, where there are several values to join. */
  readonly kind?: 'line' | 'bar';
}

const [WIDTH, HEIGHT] = [640, 360];

/** One plot above the other. */
export function plotSvg(plots: readonly Plot[]): string {
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: HEIGHT * plots.length,
  });
  const top = (i: number) => i * HEIGHT;
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    title: plots.map(({ title }, i) => ({ text: title, left: 'center', top: top(i) + 8, textStyle: { fontSize: 14 } })),
    legend: plots.map(({ series }, i) => ({ data: series.map(({ name }) => name), top: top(i) + 34 })),
    grid: plots.map((_, i) => ({ left: 70, right: 30, top: top(i) + 84, height: HEIGHT - 84 - 56 })),
    xAxis: plots.map(({ x }, i) => ({
      type: 'category',
      gridIndex: i,
      name: x.name,
      nameLocation: 'middle',
      nameGap: 28,
      data: x.labels.map(String),
    })),
    yAxis: plots.map(({ y }, i) => ({ type: y.logarithmic ? 'log' : 'value', gridIndex: i, name: y.name })),
    series: plots.flatMap(({ series, kind = 'line' }, i) =>
      series.map(({ name, values }) => ({ type: kind, name, data: [...values], xAxisIndex: i, yAxisIndex: i })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}
