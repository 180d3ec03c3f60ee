import { WasmDevice, quantize } from '../kernels/index.ts';
for (const threads of [1,2]) {
const d = await WasmDevice.create({ threads });
d.setStepLimits({ maxRows: 8, maxLogitRows: 1, maxSlots: 4, maxBlocksPerSlot: 128 });
const step=(rows:number)=>({tokens:Array.from({length:rows},()=>0),positions:Array(rows).fill(0),slots:Array(rows).fill(0),blockTables:[[0]],logitRows:[0]});
for (const format of ['Q4_0','Q8_0'] as const) {
  const cols = 896, layers = 24;
  const random = Float32Array.from({length: 896*64},()=>Math.random()-.5); const q=quantize(format, random);
  const ups = Array.from({length:layers},(_, i)=>d.createWeight({name:'u'+i,rows:9728,cols,format}));
  for (const u of ups) for (let r=0;r<9728;r+=64) await d.writeWeight(u, r, q, format);
  const x = d.createTensor({name:'x',maxRows:8,cols}); const out=d.createTensor({name:'o',maxRows:8,cols:9728});
  const plan = d.record(8, (r)=>{ for (const u of ups) r.linear({x,weights:[u],out}); });
  const ts:number[]=[]; let bw=0;
  for (let k=0;k<6;k++){ bw=Math.max(bw, await d.readBandwidth(128<<20,3)); for (let i=0;i<60;i++){ const t=performance.now(); await d.run(plan, step(1)); ts.push(performance.now()-t); } }
  ts.sort((a,b)=>a-b); const bytes = layers*ups[0].byteLength;
  console.log(threads, format,'min',(bytes/ts[0]/1e6).toFixed(1),'p25',(bytes/ts[90]/1e6).toFixed(1),'median', (bytes/ts[180]/1e6).toFixed(1),'bw',bw.toFixed(1));
}
await d.close(); }
