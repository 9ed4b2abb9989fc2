import { openSubject } from "../subject.ts";
import { snapshotterContract } from "../contract.ts";

snapshotterContract("the local one", openSubject);
