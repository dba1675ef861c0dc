//! Which blocks of the temporary file are in use, and by which spool in which order.

/// Bytes of a block. Blocks are sparse: one that is half written takes half its space on disk.
pub(super) const BLOCK: u64 = 256 << 10;

/// Neighbouring blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    first: u32,
    count: u32,
}

impl Run {
    /// Appends `block` to a list of runs, lengthening the last one where they touch.
    pub(super) fn extend(runs: &mut Vec<Self>, block: u32) {
        match runs.last_mut() {
            Some(last) if last.first + last.count == block => last.count += 1,
            _ => runs.push(Self {
                first: block,
                count: 1,
            }),
        }
    }

    /// Returns where in the file the run begins.
    pub(super) fn start(self) -> u64 {
        u64::from(self.first) * BLOCK
    }

    /// Returns where in the file the run ends.
    pub(super) fn end(self) -> u64 {
        self.start() + self.bytes()
    }

    /// Returns how many bytes fit in.
    pub(super) fn bytes(self) -> u64 {
        u64::from(self.count) * BLOCK
    }
}

/// The blocks of one file.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// Blocks the file has had so far.
    made: u32,
    used: u32,
    free: Vec<Run>,
}

impl Blocks {
    /// Takes a free block, or a new one at the end of the file.
    pub(super) fn take(&mut self) -> u32 {
        self.used += 1;
        let Some(run) = self.free.last_mut() else {
            self.made += 1;
            return self.made - 1;
        };
        let block = run.first;
        run.first += 1;
        run.count -= 1;
        if run.count == 0 {
            self.free.pop();
        }
        block
    }

    /// Takes blocks back.
    pub(super) fn free(&mut self, run: Run) {
        self.used -= run.count;
        self.free.push(run);
    }

    /// Whether no spool holds any.
    pub(super) fn is_unused(&self) -> bool {
        self.used == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_blocks_are_taken_again_before_the_file_grows() {
        let mut blocks = Blocks::default();
        let mut mine = Vec::new();
        for _ in 0..3 {
            Run::extend(&mut mine, blocks.take());
        }
        assert_eq!(mine, [Run { first: 0, count: 3 }]);
        let mut other = Vec::new();
        Run::extend(&mut other, blocks.take());
        mine.drain(..).for_each(|run| blocks.free(run));
        for _ in 0..4 {
            Run::extend(&mut other, blocks.take());
        }
        let run = |first, count| Run { first, count };
        assert_eq!(other, [run(3, 1), run(0, 3), run(4, 1)]);
        assert_eq!(blocks.made, 5);
        assert!(!blocks.is_unused());
    }
}
