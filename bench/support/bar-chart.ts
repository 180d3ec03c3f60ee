/** A bar chart as SVG text: one bar for each label. */

export interface Bar {
  readonly label: string;
  readonly value: number;
}

const [BAR_WIDTH, GAP, HEIGHT, MARGIN] = [64, 24, 200, 48];

/** Bars from zero to the largest value, each with its value on top. */
export function barChart(title: string, unit: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const width = 2 * MARGIN + bars.length * (BAR_WIDTH + GAP) - GAP;
  const text = (x: number, y: number, content: string, size = 13) =>
    `<text x="${x}" y="${y}" font-size="${size}" text-anchor="middle">${content}</text>`;
  const drawn = bars.map(({ label, value }, i) => {
    const [x, height] = [MARGIN + i * (BAR_WIDTH + GAP), (value / most) * HEIGHT];
    const top = MARGIN + HEIGHT - height;
    const middle = x + BAR_WIDTH / 2;
    return [
      `<rect x="${x}" y="${top.toFixed(1)}" width="${BAR_WIDTH}" height="${height.toFixed(1)}" fill="#4a7"/>`,
      text(middle, top - 6, value < 10 ? value.toFixed(1) : value.toFixed(0)),
      text(middle, MARGIN + HEIGHT + 20, label),
    ].join('');
  });
  const size = `width="${width}" height="${HEIGHT + 2 * MARGIN}"`;
  const heading = text(width / 2, 20, `${title} (${unit})`, 15);
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif">${heading}${drawn.join('')}</svg>\n`;
}
