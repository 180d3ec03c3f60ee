import { loadModel } from '../engine/load-model.ts';
import { WasmDevice } from '../kernels/index.ts';
import { randomModel } from './support/random-model.ts';
const threads=Number(process.argv[2]??1);
const device = await WasmDevice.create({ threads });
const model = await loadModel(await randomModel('qwen2.5-0.5b'), { device, quantize: (process.argv[3]??'q4_0') as any, maxModelLen: 512, maxNumSeqs: 1, maxNumBatchedTokens: 512 });
const d = device as any;
let inRun=0, inRead=0, pool=0; 
const orun = device.run.bind(device); device.run = async (p,s)=>{const t=performance.now(); await orun(p,s); inRun+=performance.now()-t;};
const oread = device.read.bind(device); device.read = async (p,s)=>{const t=performance.now(); const r= await oread(p,s); inRead+=performance.now()-t; return r;};
for (let rep=0;rep<6;rep++){ inRun=inRead=0; const best=[]; const t=performance.now(); let token=1,am=0;
for (let i=0;i<64;i++){ const t0=performance.now(); const l= await model.forward({tokens:[token],positions:[i],slots:[0],blockTables:[Array.from({length:32},(_, i)=>i)],logitRows:[0]}); const t1=performance.now(); let b=0; for(let j=1;j<l.length;j++) if(l[j]>l[b]) b=j; token=b; am+=performance.now()-t1; best.push(performance.now()-t0);}
best.sort((a,b)=>a-b);
console.log('total/tok',((performance.now()-t)/64).toFixed(2),'run',(inRun/64).toFixed(2),'read',(inRead/64).toFixed(3),'argmax',(am/64).toFixed(3),'min',best[0].toFixed(2),'median',best[32].toFixed(2)); }
console.log('bytes', model.info.weightBytes/1e6, 'bw', await device.readBandwidth(256<<20, 10));
await model.close();
