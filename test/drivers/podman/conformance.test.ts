import { cellDriverConformance } from '../../conformance/cell-driver.ts'
import { podmanSubject } from './harness.ts'

cellDriverConformance('level_3 podman', podmanSubject)
