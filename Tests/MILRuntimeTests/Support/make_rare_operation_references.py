"""Adds to Operations.json what torch and numpy give for operations that the reference interpreter does not know: make_rare_operation_references.py Operations.json

Needs torch. Every input is ((7 i + 3) mod 11) / 4 - 1, as OperationTests makes it.
"""
import json, sys

import numpy as np
import torch
import torch.nn.functional as F
def inp(*shape):
    i=np.arange(int(np.prod(shape)))
    return torch.tensor((((7*i+3)%11)/4-1).astype(np.float32).reshape(shape))
x=inp(2,3,4); xc=inp(2,3,2,2)
r={}
r["leaky_relu"]=F.leaky_relu(x,0.2); r["elu"]=F.elu(x,0.7); r["relu6"]=F.relu6(x*1)
r["softplus"]=F.softplus(x); r["softsign"]=F.softsign(x)
r["sigmoid_hard"]=torch.clamp(0.3*x+0.4,0,1); r["scaled_tanh"]=1.5*torch.tanh(0.5*x)
r["linear_activation"]=2*x-0.5; r["threshold"]=torch.clamp(x,min=0.25); r["thresholded_relu"]=torch.where(x>=0.5,x,torch.zeros_like(x))
r["clamped_relu"]=torch.minimum(torch.tensor(1.0),torch.where(x>=0,x,0.5*x))
a=inp(3); b=inp(3)
r["prelu"]=F.prelu(xc,a)
r["softplus_parametric"]=a.view(1,3,1,1)*F.softplus(b.view(1,3,1,1)*xc)
r["pixel_unshuffle"]=F.pixel_unshuffle(inp(1,2,4,6),2)
# floor(i * in / out): F.interpolate by size
r["upsample_odd"]=F.interpolate(inp(1,2,10,3),size=(15,7),mode="nearest")
r["upsample_little"]=inp(1,1,1,3)
u=inp(1,2,4,3)
def grid(mode,i,o):
    k=np.arange(o,dtype=np.float64)
    if mode=="DEFAULT": g=k*(i-i/o)/(o-1)
    if mode=="STRICT_ALIGN_CORNERS": g=k*(i-1)/(o-1)
    if mode=="OFFSET_CORNERS": g=0.5*max(1,i-1)/o+k*(max(1,i-1)/o)
    if mode=="UNALIGN_CORNERS": g=k*i/o+0.5*i/o-0.5
    return np.clip(g,0,i-1)
def resize(t,mode,h,w):
    t=t.numpy().astype(np.float64)
    def mat(i,o):
        g=grid(mode,i,o); m=np.zeros((o,i))
        for q,v in enumerate(g):
            f=int(np.floor(v)); s=min(f+1,i-1); m[q,f]+=1-(v-f); m[q,s]+=v-f
        return m
    return torch.tensor(np.einsum('ph,qw,nchw->ncpq',mat(t.shape[2],h),mat(t.shape[3],w),t))
for mode in ("DEFAULT","STRICT_ALIGN_CORNERS","OFFSET_CORNERS","UNALIGN_CORNERS"):
    r["resize_"+mode.lower()]=resize(u,mode,7,5)
# two of them against torch itself
assert torch.allclose(r["resize_unalign_corners"].float(),F.interpolate(u,size=(7,5),mode="bilinear",align_corners=False),atol=1e-6)
assert torch.allclose(r["resize_strict_align_corners"].float(),F.interpolate(u,size=(7,5),mode="bilinear",align_corners=True),atol=1e-6)
r["avg_pool_ceil"]=F.avg_pool2d(inp(1,2,6,5),(3,2),(2,2),(1,1),ceil_mode=True,count_include_pad=True)
r["avg_pool_ceil_excluding"]=F.avg_pool2d(inp(1,2,6,5),(3,2),(2,2),(1,1),ceil_mode=True,count_include_pad=False)
r["max_pool_ceil"]=F.max_pool2d(inp(1,2,6,5),(3,2),(2,2),(0,0),ceil_mode=True)
r["matmul_vector_left"]=torch.matmul(inp(4),inp(2,4,3)); r["matmul_vector_right"]=torch.matmul(inp(2,3,4),inp(4)); r["matmul_vectors"]=torch.matmul(inp(4),inp(4)).reshape(())
s=inp(2,3,4).clone(); s[:,1:3,::2]=inp(2,2,2); r["slice_update"]=s
r["argsort"]=torch.argsort(x,dim=1,stable=True)
r["argsort_descending"]=torch.argsort(x,dim=-1,descending=True,stable=True)
r["crop"]=inp(1,2,6,5)[:,:,1:4,0:2]
def whole(size,*shape): return (inp(*shape)*4).long()%size
s=inp(7,3).clone(); r["scatter_add"]=s.index_add_(0,whole(7,6),inp(6,3))
s=inp(2,7,3).clone(); i=whole(7,2,3)
for a in range(2):
    for b in range(3): s[:,i[a,b]]=torch.maximum(s[:,i[a,b]],inp(2,2,3,3)[:,a,b])
r["scatter_max"]=s
r["scatter_along_axis"]=inp(2,7,3).scatter_reduce(1,whole(7,2,4,3),inp(2,4,3),"prod")
p=sys.argv[1]
old=json.load(open(p))
for k,v in r.items(): old[k]=[float(f"{float(z):.9g}") for z in v.reshape(-1)]
open(p,"w").write("{\n"+",\n".join(f' "{k}": {json.dumps(v,separators=(",",":"))}' for k,v in old.items())+"\n}\n")
